"""The one package that runs git and ssh: objects, packs, quarantine, refs, transport. Rules live
below, use cases above.
"""
