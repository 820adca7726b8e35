"""demo placeholder
"""
import argparse
def add_arguments(parser): pass
def run(options): return 0
