"""The second opinion: raw objects re-verified from the
specification alone, sharing no rule with the writer."""
