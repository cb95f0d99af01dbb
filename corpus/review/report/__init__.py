"""`llama-corpus report`: what runs did, gathered in one pass, as one page and a data card."""
