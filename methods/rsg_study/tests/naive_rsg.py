"""RSG again, sample by sample, centre by centre and pair by pair, straight from its definition."""

import torch
import torch.nn.functional as F


def same_class_logits(values, maps):
    """What the contrastive net says of two stacked maps, of shape (2C, H, W)."""
    hidden = F.conv2d(maps[None], values["contrastive_module.0.weight"], values["contrastive_module.0.bias"]).relu()
    hidden = F.conv2d(hidden, values["contrastive_module.2.weight"], values["contrastive_module.2.bias"], padding=1)
    return values["contrastive_fc.weight"] @ hidden[0].mean(dim=(1, 2)) + values["contrastive_fc.bias"]


def shares_of(values, sample, label):
    """One sample's share of each centre of its class."""
    scores = [
        sum(sample[c].mean() * values["linear"][label, c, k] for c in range(len(sample))) + values["bias"][label, k]
        for k in range(values["bias"].shape[1])
    ]
    return torch.stack(scores).softmax(dim=0)


def centre_term(values, sample, label):
    """Squared distances from one sample to the centres of its class, weighted."""
    shares = shares_of(values, sample, label)
    centres = values["centers"][label]
    return sum(share * ((sample - centre[:, None, None]) ** 2).sum() for share, centre in zip(shares, centres, strict=True))


def pair_term(values, maps, labels):
    """Cross entropy of telling pairs of one class from pairs of two."""
    half = len(maps) // 2
    losses = []
    for i in range(half):
        logits = same_class_logits(values, torch.cat([maps[i], maps[i + half]]))
        losses.append(-logits.log_softmax(dim=0)[int(labels[i] == labels[i + half])])
    return sum(losses) / half if losses else 0.0


def centre_of(values, sample, label):
    """The centre that has the largest share of a sample."""
    return values["centers"][label][shares_of(values, sample, label).argmax()].detach()[:, None, None]


def segments(labels, heads, strength):
    """Lists of pairs (head sample, tail sample), one list a segment."""
    of_head = [i for i, label in enumerate(labels) if label in heads]
    of_tail = [i for i, label in enumerate(labels) if label not in heads]
    if not of_head or not of_tail:
        return []
    if len(of_head) >= len(of_tail):
        size, available = len(of_tail), len(of_head)
    else:
        size, available = len(of_head), len(of_tail)
    lists = []
    for j in range(max(1, int(available * strength / size))):
        some = slice(j * size, (j + 1) * size)
        pairs = (of_head[some], of_tail) if len(of_head) >= len(of_tail) else (of_head, of_tail[some])
        if len(pairs[0]) == len(pairs[1]):
            lists.append(list(zip(*pairs, strict=True)))
    return lists


def vector_terms(values, maps, labels, head, tail):
    """A new map, and the three terms of its pair in the loss of vectors."""
    vector = maps[head] - centre_of(values, maps[head], labels[head])
    along = maps[tail] - centre_of(values, maps[tail], labels[tail])
    weight, bias = (values[f"vec_transformation_module.0.{name}"] for name in ("weight", "bias"))
    moved = F.conv2d(vector[None], weight, bias, padding=1)[0]

    frozen = {name: value.detach() for name, value in values.items()}
    contrast = -same_class_logits(frozen, torch.cat([maps[head], moved])).log_softmax(dim=0)[0]
    channels = len(moved)
    length, direction = 0.0, 0.0
    before, after, target = (list(each.flatten()) for each in (vector, moved, along))
    for start in range(0, len(before), channels):
        v, w, u = (torch.stack(each[start : start + channels]) for each in (before, after, target))
        length = length + (w.norm() - v.norm()).abs()
        direction = direction + sum(
            (a * b - 1).abs() for a, b in zip(F.normalize(u, dim=0), F.normalize(w, dim=0), strict=True)
        )
    return maps[tail] + moved, contrast, length, direction


def naive_rsg(values, maps, labels, epoch, *, heads, threshold, strength):
    """Maps, labels and both losses; `values` are RSG's parameters by name."""
    seen, labels = maps.detach(), labels.tolist()
    cesc = sum(centre_term(values, sample, label) for sample, label in zip(seen, labels, strict=True)) / len(labels)
    if epoch <= threshold:
        return maps, labels, cesc + pair_term(values, seen, labels), torch.tensor(0.0)

    new, new_labels, losses = [], [], []
    for pairs in segments(labels, heads, strength):
        terms = [vector_terms(values, seen, labels, head, tail) for head, tail in pairs]
        new += [each[0] for each in terms]
        new_labels += [labels[tail] for _, tail in pairs]
        losses.append(sum(contrast + length + direction for _, contrast, length, direction in terms) / len(pairs))
    mv = sum(losses) / len(losses) if losses else torch.tensor(0.0)
    return torch.cat([maps, *(each[None] for each in new)]), labels + new_labels, cesc, mv
