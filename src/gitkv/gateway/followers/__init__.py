"""Background work of the gateway, in one shape: audit, mirror, maintenance. What runs it is not
here.
"""
