"""What is published of mini-ImageNet-LT: its classes in the order of their labels, and how many training images they keep.

mini-ImageNet has 100 classes of ImageNet with 600 images each (Vinyals et al., Matching Networks for One Shot Learning, NeurIPS
2016). It is usually split by class, for few-shot learning: no class is in two parts. mini-ImageNet-LT has every class in
every part: of each 60 images to test on, 60 to validate on, and 12 to 479 of the other 480 to train on.
"""

from __future__ import annotations

_PUBLISHED = """
    n04522168 147  n04275548 106  n03272010  82  n03773504  82  n13054560 228  n03127925 231  n04258138  22
    n03535780 409  n04251144 176  n03017168 146  n02687172 373  n02871525 351  n02981792 407  n02120079 330
    n02950826 346  n04146614 231  n03980874 211  n03207743  41  n01855672 184  n02108915 297  n03527444 404
    n02606052 321  n02114548 325  n02099601 236  n02101006 319  n02110063 149  n04149813 361  n07613480  36
    n02795169 230  n01981276  65  n03770439 252  n04443257 277  n04596742  62  n02089867 427  n04296562 316
    n02823428 111  n01558993 446  n03047690 329  n03146219 479  n02174001 275  n04418357 258  n03924679 321
    n13133613 343  n04604644 166  n03676483 302  n09256479 367  n01843383 364  n07584110 103  n02966193  49
    n03417042  13  n03854065 288  n04612504  15  n02111277 473  n02074367  69  n04389033 132  n02108089  12
    n02110341 399  n03400231 260  n07697537 375  n04243546 218  n04509417 252  n03062245 161  n01770081 142
    n07747607  38  n03775546 317  n02105505 311  n02091244 453  n04435653  12  n01910747 284  n02129165 167
    n03220513  38  n02747177 188  n03476684 313  n03347037 354  n02113712  75  n09246464 359  n03075370  42
    n06794110 349  n03337140 178  n02219486 195  n02108551 451  n02091831  22  n01930112 171  n03998194  60
    n01532829 264  n02138441 424  n02165456 334  n03888605 313  n02116738  98  n02457408 280  n01749939 207
    n03584254 119  n03908618 128  n04515003  75  n02971356 418  n01704323 151  n03838899 279  n02443484 243
    n03544143 419  n04067472 161
"""
_WORDS = _PUBLISHED.split()

TRAIN_COUNTS = {wnid: int(count) for wnid, count in zip(_WORDS[::2], _WORDS[1::2], strict=True)}
"""Training images by WordNet id, in the order of the labels 0 to 99; 23,192 in all.

They are those of the lists at github.com/kitsch231/mini-imagenet-LT_longtail-dataset. How the numbers were drawn is not
published, only that they are random and lie between 10 and 480; they follow no curve, and no order of the labels.
"""

HELD_OUT = 60
"""Images of each class to test on, and as many others to validate on."""

CANDIDATES = 480
"""Images of each class that the training images are chosen from."""

FEWEST = 10
"""Training images that the smallest class may have, where the numbers are drawn anew."""

FEW_SHOT = (
    "A split for few-shot learning has other classes in every part. To make a long-tailed data set of it:\n"
    "longtail data make mini-imagenet-lt --source DIR --out DIR"
)
"""What is told to who takes such a split for a data set to train and test on."""
