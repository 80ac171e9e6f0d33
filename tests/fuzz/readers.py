"""The readers of rmspec: for each one inputs that are right, mutations of them, and all that is done with what was read.

A reader may raise ``RmspecError``. Whatever else it raises is a fault of rmspec; so is an input that takes long, or a lot of memory.
"""

from __future__ import annotations

import file_readers
import process_readers
import text_readers
from reader import Row

READERS: dict[str, Row] = {
    "programs": Row(text_readers.programs_reader, 9),
    "reports": Row(text_readers.reports_reader, 5),
    "logs": Row(text_readers.logs_reader, 5),
    "known-lists": Row(text_readers.known_reader, 9),
    "configuration": Row(text_readers.configuration_reader, 12),
    "arguments": Row(text_readers.arguments_reader, 2),
    "names": Row(text_readers.names_reader, 14),
    "recordings": Row(file_readers.recordings_reader, 6),
    "npz": Row(file_readers.npz_reader, 10),
    "safetensors": Row(file_readers.safetensors_files, 9, "safetensors"),
    "pt": Row(file_readers.torch_files, 5, "torch"),
    "h5": Row(file_readers.hdf5_reader, 6, "h5py", starts=("os.fork",)),
    "keras": Row(file_readers.keras_archives_reader, 6, "h5py", starts=("os.fork",)),
    "wire": Row(process_readers.wire_reader, 1, starts=("subprocess.Popen",)),
    "transcripts": Row(process_readers.transcripts_reader, 12),
    "last-words": Row(process_readers.last_words_reader, 5),
}
"""Every reader, with its share of the inputs."""
