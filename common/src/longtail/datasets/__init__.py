"""Which images with which labels: CIFAR, the bundled digits, published lists, class folders, and fake data to rehearse on.

Import from the modules: `base` (what a data set is), `factory` (`create_data`, `fingerprint`), `splits`, `cifar`, `digits`,
`lists` (of the data sets in `published`, written in `list_forms`), `folder`, `decode` (a picture out of a file), `readable`
(leaving out bad ones), `fake`. Nothing is imported here, so that a command's help text does not wait for numpy.
"""
