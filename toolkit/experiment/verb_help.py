"""What the command line says of each verb, and the parameters it lists beside it."""

SECTIONS = {
    "run": (
        "series", "prepare", "features", "ground_truth", "split", "sampling", "learning", "mapping", "postprocess",
        "cluster",
    ),
    "prepare": ("series", "prepare", "mapping"),
    "clean": ("series", "ground_truth"),
    "sample": ("series", "prepare", "features", "split", "sampling", "mapping"),
    "train": ("sampling", "learning"),
    "classify": ("prepare", "mapping", "cluster"),
    "mosaic": ("mapping",),
    "postprocess": ("mapping", "postprocess"),
    "validate": (),
    "vectorise": ("vectorise",),
    "cross-validate": ("series", "prepare", "features", "ground_truth", "split", "sampling", "learning", "mapping"),
    "tune": ("sampling", "learning", "tuning"),
}  # fmt: skip
"""Sections of the experiment whose parameters each verb takes as options."""

HELP = {
    "run": "the whole chain: clean, sample, train, classify, mosaic, postprocess, validate",
    "prepare": "write each band once as chunks of all dates, which everything else then reads instead of the images",
    "clean": "clean the ground truth; the file itself is never touched",
    "sample": "split the polygons, draw pixels, compute their features",
    "train": "train the network; goes on from the last epoch of a stopped training",
    "classify": "classify every tile within the memory given",
    "mosaic": "mosaic the classified tiles",
    "postprocess": "smooth, reclassify, filter and sieve the mosaic, as far as asked for",
    "validate": "hold the map against the test polygons; confusion matrix and report",
    "vectorise": "make polygons of the map: GeoPackage or GeoParquet",
    "cross-validate": "leave out one tile (or one value of a field) after the other",
    "tune": "try parameters of the learning on folds of the train samples; goes on with a stopped or longer tuning",
}
