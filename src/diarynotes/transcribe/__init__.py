"""Speech to text: one engine, many recordings at a time.

Opens engines and chooses among them; `transcribe_recordings` sends recordings through one. Knows nothing of files,
jobs or settings: who calls it stores what comes out.
"""

from __future__ import annotations

from diarynotes.transcribe.child import pick_environment as pick_environment  # callers need to know this package only
from diarynotes.transcribe.choice import Choice as Choice
from diarynotes.transcribe.choice import ModelRule as ModelRule
from diarynotes.transcribe.choice import choose_engine as choose_engine
from diarynotes.transcribe.choice import choose_model as choose_model
from diarynotes.transcribe.choice import choose_weights as choose_weights
from diarynotes.transcribe.choice import find_larger as find_larger
from diarynotes.transcribe.devices import Devices as Devices
from diarynotes.transcribe.devices import find_gpu as find_gpu
from diarynotes.transcribe.devices import list_devices as list_devices
from diarynotes.transcribe.engine import Engine as Engine
from diarynotes.transcribe.listening import Care as Care
from diarynotes.transcribe.listening import Heard as Heard
from diarynotes.transcribe.opening import ENGINES as ENGINES
from diarynotes.transcribe.opening import WHISPERS as WHISPERS
from diarynotes.transcribe.opening import Opening as Opening
from diarynotes.transcribe.opening import check_engine as check_engine
from diarynotes.transcribe.opening import open_engine as open_engine
from diarynotes.transcribe.pool import EnginePool as EnginePool
from diarynotes.transcribe.pool import open_apart as open_apart
from diarynotes.transcribe.preprocess import choose_steps as choose_steps
from diarynotes.transcribe.process import Patience as Patience
from diarynotes.transcribe.recordings import HeardResult as HeardResult
from diarynotes.transcribe.recordings import Second as Second
from diarynotes.transcribe.recordings import Texts as Texts
from diarynotes.transcribe.recordings import transcribe_recordings as transcribe_recordings
from diarynotes.transcribe.weights import find_weights as find_weights
