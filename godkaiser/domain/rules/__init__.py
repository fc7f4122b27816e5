"""The decisions of rules, from readings and times that are passed in. Other packages use
`rules.py`.
"""
