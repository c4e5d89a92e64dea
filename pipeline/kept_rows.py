"""The text of the rows that a run kept: from its curated folder, or else from its store."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import ArtifactError
from ..stages.readers import find_files
from ..stages.remote import is_dir
from .files import readable
from .finished import Finished

AT_ONCE = 4096  # rows read at a time


def kept_messages(run: Finished) -> Iterator[pa.Table]:
    """Yield `row_id` and `messages` of the kept rows of a run, some at a time, by row_id.

    Raises:
        ArtifactError: a file is damaged, or gone from the store.
        DataError: there is neither a curated folder nor a store.
    """
    folder = run.folder / "curated"
    if not is_dir(folder):
        yield from run.kept_tables(["messages"])
        return
    for path in find_files(folder):
        try:
            with pq.ParquetFile(readable(path)) as file:
                for batch in file.iter_batches(AT_ONCE, columns=["row_id", "messages"]):
                    yield pa.Table.from_batches([batch])
        except (pa.ArrowException, OSError) as error:
            raise ArtifactError(str(path), str(error).splitlines()[0]) from error
