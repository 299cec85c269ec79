"""The workbench as one page, for people who do not code: Voila on a Jupyter server of its own, on this machine."""
