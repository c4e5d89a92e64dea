"""How alike texts are by their words: cosines of TF-IDF vectors, for where no embedding is stored.

Words are hashed, so that no vocabulary is held; how rare a word is, is counted over the texts that
are compared with. With scikit-learn's settings: words of two letters or more in lower case, smooth
IDF, vectors of length 1.
"""

from collections.abc import Iterable, Sequence

import numpy as np

METHOD = "TF-IDF of hashed words"
FEATURES = 1 << 20


def likeness(texts: Iterable[Sequence[str]], text: str) -> np.ndarray:
    """Return the cosine of a text to each of others, (texts,) float64; 0 where no word is shared.

    Args:
        texts: the others, some at a time.
        text: that they are compared with.
    """
    from scipy import sparse
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer  # heavy

    words = HashingVectorizer(
        n_features=FEATURES, alternate_sign=False, norm=None, dtype=np.float32
    )
    counts = [words.transform(some) for some in texts if some]
    if not counts:
        return np.zeros(0)
    whole = sparse.vstack(counts, format="csr")
    weights = TfidfTransformer().fit(whole)
    own = weights.transform(words.transform([text]))
    cosines = weights.transform(whole, copy=False) @ own.T
    return np.asarray(cosines.toarray(), dtype=np.float64)[:, 0]
