"""Why images have no pose, in words that tell what to do."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from neus.capture.database import feature_counts, verified_pairs
from neus.capture.intake import CapturedImage
from neus.capture.ladder import Outcome

# An image with fewer features than this shows next to nothing to match.
FEW_FEATURES = 200
# Blurring once more changes an image blurred by movement or focus so little that this measure is above it.
BLURRED = 0.6
# A pair with fewer verified matches carries no pose.
FEW_MATCHES = 30


def why_not(images: Sequence[CapturedImage], outcome: Outcome) -> dict[str, str]:
    """The likely reason for each image without a pose, by name, in the order of the images."""
    posed, counts = set(outcome.posed), _feature_counts(outcome)
    pairs = verified_pairs(Path(outcome.database)) if Path(outcome.database).is_file() else []
    reasons = {}
    for image in images:
        if image.name in posed:
            continue
        partners = [
            (pair.n_matches, pair.second if pair.first == image.name else pair.first)
            for pair in pairs
            if image.name in (pair.first, pair.second)
        ]
        reasons[image.name] = _reason(image, counts.get(image.name, 0), partners, posed)
    return reasons


def _reason(image: CapturedImage, n_features: int, partners: list[tuple[int, str]], posed: set[str]) -> str:
    with_posed = max((count for count, name in partners if name in posed), default=0)
    anywhere = max((count for count, _ in partners), default=0)
    if image.blur > BLURRED:
        return f"blurred (its blur is {image.blur:.2f}, sharp images have less than {BLURRED}); take it again"
    if n_features < FEW_FEATURES:
        return f"{n_features} features, too dark or too plain; add light or texture"
    if with_posed >= FEW_MATCHES:
        return f"{with_posed} matches with a posed image, but its pose contradicts the others; symmetric or moved?"
    if anywhere >= FEW_MATCHES:
        return f"matches only images that have no pose either ({anywhere} matches); take images in between"
    return f"overlaps with no posed image ({with_posed} matches, {FEW_MATCHES} needed); take images in between"


def nothing_posed(images: Sequence[CapturedImage], outcomes: Sequence[Outcome]) -> str:
    """One line for a capture none of whose images can be posed."""
    best = outcomes[0]
    counts, pairs = _feature_counts(best), []
    if Path(best.database).is_file():
        pairs = verified_pairs(Path(best.database))
    faults = [outcome.fault for outcome in outcomes if outcome.fault]
    found = f"no poses found for {len(images)} images"
    if len(faults) == len(outcomes):
        return f"{found}: COLMAP failed in each attempt ({faults[0]}); free some memory and run the command again."
    if median(image.blur for image in images) > BLURRED:
        return f"{found}: most of them are blurred; take them again with more light or a steadier hand."
    if median(counts.get(image.name, 0) for image in images) < FEW_FEATURES:
        return f"{found}: they show next to no detail; add light, and something with texture beside the object."
    linked = {name for pair in pairs if pair.n_matches >= FEW_MATCHES for name in (pair.first, pair.second)}
    if len(linked) < 3:
        return (
            f"{found}: no two of them show the same thing from two sides ({len(pairs)} pairs match); take images of one object that "
            "stands still, moving by about 10 degrees from one to the next."
        )
    return (
        f"{found}, though {len(linked)} of them match: too little parallax, or an object that moved; walk around the object rather than "
        "turning on the spot, and leave it where it is."
    )


def _feature_counts(outcome: Outcome) -> dict[str, int]:
    return feature_counts(Path(outcome.database)) if Path(outcome.database).is_file() else {}
