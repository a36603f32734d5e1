"""Reading one state of a store: values, lists, history. Knows no clone, no network, no process."""
