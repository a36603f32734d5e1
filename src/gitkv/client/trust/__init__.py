"""What a clone believes of what it fetched: only what the gateway's signed receipts cover, under
the policies that lead on from the first it trusted (docs/adr/0013).
"""
