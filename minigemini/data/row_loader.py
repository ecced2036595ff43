"""Batches of a fixed number of packed rows, for steps of equal size."""

from collections.abc import Iterator
from itertools import chain, count, islice
from typing import Any

from .bad_samples import BadSampleLog
from .encoding import Encoded
from .loader import Encoder, OtherDataError, Place, StatefulLoader
from .mixture import GlobalBatches
from .packing import Batch, check_fits, packed
from .schema import SampleError

SAMPLES_PER_ERRAND = 8
"""How many samples a worker is sent for at a time. It has no part in what batches hold."""


class RowLoader(StatefulLoader):
    """Batches of packed rows, without end; what does not fit is carried over to the next.

    Rows are filled sample by sample, each into the fullest row that has room. A sample that fits in none waits for the
    next batch, and when more than `lookahead` do, the batch is closed. Its state are `next`, the position of the first
    sample not yet taken, and `waiting`, the positions of those that wait: on resume these are encoded again. Rank r of
    W has positions r, r + W, …; ranks move on at paces of their own, so each keeps its state, and a run goes on with
    as many ranks.

    Args:
        batches: the order of samples; grouping by length would only make rows harder to fill.
        encoder: a sample to tensors, of at most `row_length` tokens.
        faults: where faulty samples are recorded.
        rows: rows of a batch.
        row_length: most tokens of a row.
        pad_token_id, cu_seq_lens: as `packed` takes them.
        lookahead: most samples that are passed over while rows are filled.
        **kwargs: rank, world_size, workers, as of `Loader`.
    """

    def __init__(
        self,
        batches: GlobalBatches,
        encoder: Encoder,
        issues: BadSampleLog,
        *,
        rows: int,
        row_length: int,
        pad_token_id: int,
        cu_seq_lens: bool = False,
        lookahead: int = 8,
        **kwargs: Any,
    ) -> None:
        super().__init__(batches, encoder, issues, **kwargs)
        self.rows, self.row_length, self.lookahead = rows, row_length, lookahead
        self.pad_token_id, self.cu_seq_lens = pad_token_id, cu_seq_lens
        self.next, self.waiting = self.rank, list[int]()

    def __iter__(self) -> Iterator[Batch]:
        samples = self._samples(self._places(self.next, self.waiting))
        passed: list[tuple[int, Encoded]] = []
        while True:
            rows: list[list[Encoded]] = [[] for _ in range(self.rows)]
            room = [self.row_length] * self.rows
            waited, passed = passed, []
            while len(passed) <= self.lookahead:
                position, sample = waited.pop(0) if waited else next(samples)
                fitting = [row for row in range(self.rows) if room[row] >= len(sample)]
                if not fitting:
                    passed.append((position, sample))
                    continue
                row = min(fitting, key=lambda row: room[row])
                rows[row].append(sample)
                room[row] -= len(sample)
            self.waiting = [position for position, _ in passed]
            yield packed(rows, self.pad_token_id, self.cu_seq_lens)

    def _samples(self, places: Iterator[Place]) -> Iterator[tuple[int, Encoded]]:
        """Good samples with their positions. Those from `next` on have not been gone through before."""
        errands = iter(lambda: list(islice(places, SAMPLES_PER_ERRAND)), [])
        for placed in self._load(errands, list):
            for position, found in placed:
                bad = [(position, found)] if isinstance(found, SampleError) else []
                if position >= self.next:
                    self.next = position + self.world_size
                    self._account(1, bad)
                if isinstance(found, Encoded):
                    check_fits(len(found), self.row_length)
                    yield position, found

    def _places(self, first: int, waiting: list[int]) -> Iterator[Place]:
        """Where samples are: those that wait, then all from `first` on."""
        size, epoch, order = len(self.batches.mixture), 0, self.batches.epoch(0)
        for position in chain(waiting, count(first, self.world_size)):
            if position // size != epoch:
                epoch = position // size
                order = self.batches.epoch(epoch)
            yield position, int(order[position % size])

    def _position(self) -> dict[str, Any]:
        return {"rank": self.rank, "world_size": self.world_size, "next": self.next, "waiting": list(self.waiting)}

    def _restore(self, state: dict[str, Any]) -> None:
        if (state["rank"], state["world_size"]) != (self.rank, self.world_size):
            raise OtherDataError(
                f"the state is of rank {state['rank']} of {state['world_size']}, but this is rank {self.rank} of "
                f"{self.world_size}: carried samples stay with their rank, so resume with as many ranks."
            )
        self.next, self.waiting = state["next"], list(state["waiting"])
