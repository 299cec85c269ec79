"""pending"""
def report_validation(experiment, found):
    pass
