"""Re-verifies what others have accepted: functions over plain state (ids, objects, a verifier).

It knows ports, no adapters: who calls it finds the refs and brings the objects.
"""
