"""Cells as vectors: what the language model's input embeddings get on top of their tokens."""

from dataclasses import dataclass

import torch
from torch import nn

__all__ = ["CellEncoder", "NumberEmbedding", "PiecewiseLinear", "SlotLayout"]


@dataclass(frozen=True)
class SlotLayout:
    """Numbering of the cell vectors of a row; prompts say which vector a token carries.

    Slot 0 is "none". Then, in order: one slot per number, one per category, one per column that
    is written as tokens, and ``n_soft`` per text column with features.
    """

    n_numbers: int
    n_categories: int
    n_columns: int
    n_texts: int
    n_soft: int

    number = 1  # the first slot of numbers; and so on

    @property
    def category(self):
        return self.number + self.n_numbers

    @property
    def column(self):
        return self.category + self.n_categories

    @property
    def soft(self):
        return self.column + self.n_columns

    @property
    def featured(self):
        """Whether texts are read through features."""
        return self.n_slots > self.soft

    @property
    def n_slots(self):
        return self.soft + self.n_texts * self.n_soft


class PiecewiseLinear(nn.Module):
    """A continuous piecewise-linear map from each of C numbers to a vector.

    w₀·z + Σ_k w_k·max(0, z − knot_k) per number (Gorishniy et al. 2022, "On embeddings for
    numerical features", in its ReLU form).

    Parameters
    ----------
    knots : Tensor of shape (C, K)
    size : int
        Length of the vectors.
    std : float
        Standard deviation of the initial weights; 0 starts with no effect.
    """

    def __init__(self, knots, size, std):
        super().__init__()
        n_numbers, n_knots = knots.shape
        self.register_buffer("knots", knots)
        weight = torch.randn(n_numbers, n_knots + 1, size) * std / (n_knots + 1) ** 0.5
        self.weight = nn.Parameter(weight)

    def forward(self, z):
        """(B, C) numbers to (B, C, size) vectors."""
        hinges = (z.unsqueeze(-1) - self.knots).clamp(min=0)  # (B, C, K)
        basis = torch.cat([z.unsqueeze(-1), hinges], -1)
        return torch.einsum("bck,ckd->bcd", basis, self.weight)


class NumberEmbedding(nn.Module):
    """A map from each of C numbers to a vector: smooth first, and step by step where rows say so.

    The curve of :class:`PiecewiseLinear`, and a ramp between any two neighbouring edges (Gorishniy
    et al. 2022, their quantile encoding). Ramps tell neighbouring values apart, which the curve can
    hardly do; scaled down, they learn more slowly, so that what is smooth stays smooth.

    Parameters
    ----------
    knots : Tensor of shape (C, K)
    edges : Tensor of shape (C, E)
        Ascending; between equal ones there is no ramp.
    size : int
        Length of the vectors.
    std : float
        Standard deviation of the initial weights; 0 starts with no effect.
    """

    RAMP = 0.3  # height of the ramps

    def __init__(self, knots, edges, size, std):
        super().__init__()
        self.register_buffer("edges", edges)
        self.curve = PiecewiseLinear(knots, size, std)
        std = std / (knots.shape[1] + 1) ** 0.5  # as the curve's
        self.steps = nn.Parameter(torch.randn(len(edges), edges.shape[1] - 1, size) * std)

    def forward(self, z):
        """(B, C) numbers to (B, C, size) vectors."""
        start, width = self.edges[:, :-1], self.edges.diff(dim=1)
        height = self.RAMP * (width > 0).to(width)
        share = (z.unsqueeze(-1) - start) / width.where(width > 0, 1.0)
        ramps = height * share.clamp(0, 1)  # (B, C, E - 1)
        return self.curve(z) + torch.einsum("bce,ced->bcd", ramps, self.steps)


class CellEncoder(nn.Module):
    """Vectors for every slot of a :class:`SlotLayout`.

    Parameters
    ----------
    layout : SlotLayout
    knots : Tensor of shape (n_numbers, K)
    edges : Tensor of shape (n_numbers, E)
        See :class:`NumberEmbedding`.
    n_levels : list of int
        Codes per category column (missing and unseen included).
    n_columns : int
        Columns written as tokens, which get one learnt vector each.
    n_texts, n_components : int
        Text columns with features, and the number of features.
    size : int
        Length of the vectors: the language model's embedding size.
    std : float
        Scale of the initial weights. 0: the vectors start at zero, so that a pretrained model
        starts from what it knows.
    dropout : float
        Share of cells hidden at random in training: numbers and categories read as missing, text
        features as zero, text tokens as blank.
    n_estimates : int, default=0
        How many of the last numbers are regressors' estimates of the target.
    estimate_dropout : float, default=0.0
        Share of these hidden in training, in place of ``dropout``.
    """

    def __init__(
        self,
        layout,
        *,
        knots,
        edges,
        n_levels,
        n_columns,
        n_texts,
        n_components,
        size,
        std,
        dropout,
        n_estimates=0,
        estimate_dropout=0.0,
    ):
        super().__init__()
        # What `from_recipe` needs to build an encoder of the same shape.
        self.recipe = dict(
            layout=layout, n_knots=knots.shape[1], n_edges=edges.shape[1],
            n_levels=n_levels, n_columns=n_columns, n_texts=n_texts,
            n_components=n_components, size=size, dropout=dropout, n_estimates=n_estimates,
            estimate_dropout=estimate_dropout,
        )  # fmt: skip
        self.layout = layout
        self.dropout = dropout
        self.n_estimates = n_estimates
        self.estimate_dropout = estimate_dropout
        self.numbers = NumberEmbedding(knots, edges, size, std)
        self.missing = nn.Parameter(torch.randn(len(edges), size) * std)
        self.number_bias = nn.Parameter(torch.randn(len(edges), size) * std)
        offsets = torch.tensor([0, *n_levels], dtype=torch.long).cumsum(0)
        self.register_buffer("offsets", offsets[:-1])
        self.categories = nn.Parameter(torch.randn(sum(n_levels), size) * std)
        self.columns = nn.Parameter(torch.randn(n_columns, size) * std)
        # Text features are already standardised: one set of knots serves them all.
        text_knots = torch.linspace(-1.5, 1.5, 4).expand(n_texts * n_components, 4).clone()
        self.texts = PiecewiseLinear(text_knots, size, std)

    @classmethod
    def from_recipe(cls, recipe):
        """An untrained encoder of a known shape, to load weights into."""
        recipe = dict(recipe)
        layout = recipe["layout"]
        n_numbers = layout.n_numbers
        knots = torch.zeros(n_numbers, recipe.pop("n_knots"))
        edges = torch.zeros(n_numbers, recipe.pop("n_edges"))
        return cls(knots=knots, edges=edges, std=0.0, **recipe)

    def forward(self, numbers, categories, texts):
        """Cell values of B rows to (B, n_slots, size) vectors; slot 0 is zero."""
        absent = numbers.isnan() | self._hidden_numbers(numbers)
        categories = categories.masked_fill(self._hidden(categories), 0)
        z = numbers.masked_fill(absent, 0.0)
        value = torch.where(absent.unsqueeze(-1), self.missing, self.numbers(z))
        level = self.categories[categories + self.offsets]
        column = self.columns.expand(len(numbers), -1, -1)
        none = value.new_zeros(len(numbers), 1, value.shape[-1])
        return torch.cat([none, value + self.number_bias, level, column, self._soft(texts)], 1)

    def blank(self, slots):
        """Which tokens of (B, P) slots to hide in this step: some of those that spell a cell."""
        spelled = (slots >= self.layout.column) & (slots < self.layout.soft)
        return spelled & self._hidden(slots)

    def _hidden_numbers(self, numbers):
        hidden = self._hidden(numbers)
        if self.training and self.n_estimates:
            draws = torch.rand(len(numbers), self.n_estimates, device=numbers.device)
            hidden[:, -self.n_estimates :] = draws < self.estimate_dropout
        return hidden

    def _hidden(self, cells):
        """A random share of the entries in training, none otherwise."""
        if not self.training or not self.dropout:
            return torch.zeros(cells.shape, dtype=torch.bool, device=cells.device)
        return torch.rand(cells.shape, device=cells.device) < self.dropout

    def _soft(self, texts):
        """(B, n_texts, F) features to (B, n_texts * n_soft, size): each slot sums a share of F."""
        batch, n_texts, n_features = texts.shape
        n_soft = self.layout.n_soft
        if not n_texts or not n_soft:
            return texts.new_zeros(batch, n_texts * n_soft, self.columns.shape[-1])
        vectors = self.texts(texts.flatten(1))
        vectors = vectors.masked_fill(self._hidden(texts.flatten(1)).unsqueeze(-1), 0.0)
        vectors = vectors.view(batch, n_texts, n_features, -1)
        share = torch.arange(n_features, device=texts.device) % n_soft
        out = vectors.new_zeros(batch, n_texts, n_soft, vectors.shape[-1])
        return out.index_add(2, share, vectors).flatten(1, 2)
