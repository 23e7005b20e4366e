"""Cell vectors against explicit formulas."""

import pytest
import torch

from llmreg.prompts.cell_encoder import CellEncoder, NumberEmbedding, PiecewiseLinear, SlotLayout

SIZE = 6


def _encoder(*, n_numbers=2, n_levels=(4, 3), n_columns=2, n_texts=2, n_features=5, n_soft=3,
             std=1.0, dropout=0.0, seed=0, **further):  # fmt: skip
    torch.manual_seed(seed)
    layout = SlotLayout(n_numbers, len(n_levels), n_columns, n_texts, n_soft)
    return CellEncoder(
        layout, knots=torch.randn(n_numbers, 3),
        edges=torch.randn(n_numbers, 4).sort(1).values, n_levels=list(n_levels),
        n_columns=n_columns, n_texts=n_texts, n_components=n_features, size=SIZE, std=std,
        dropout=dropout, **further,
    )  # fmt: skip


def _cells(n_rows=3, seed=1):
    """Numbers, category codes and text features that fit the default encoder."""
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(n_rows, 2, generator=generator),
        torch.randint(3, (n_rows, 2), generator=generator),
        torch.randn(n_rows, 2, 5, generator=generator),
    )


def test_piecewise_linear_is_a_line_plus_one_hinge_per_knot():
    torch.manual_seed(0)
    knots = torch.randn(3, 4)
    layer = PiecewiseLinear(knots, SIZE, std=1.0)
    z = 2 * torch.randn(5, 3)
    found = layer(z)
    assert found.shape == (5, 3, SIZE)
    for row in range(5):
        for c in range(3):
            expected = layer.weight[c, 0] * z[row, c]
            for k in range(4):
                expected = expected + layer.weight[c, 1 + k] * max(0.0, z[row, c] - knots[c, k])
            assert torch.allclose(found[row, c], expected, atol=1e-6)


def test_initial_weights_have_the_variance_asked_for():
    torch.manual_seed(0)
    weight = PiecewiseLinear(torch.zeros(50, 3), 100, std=0.4).weight
    assert float(weight.detach().std()) == pytest.approx(
        0.4 / 2, rel=0.05
    )  # over 3 knots and the line
    assert (PiecewiseLinear(torch.zeros(5, 3), 10, std=0.0).weight == 0).all()


def test_numbers_are_read_by_a_curve_and_by_ramps_between_edges():
    torch.manual_seed(0)
    edges = torch.tensor([[-1.0, -0.5, 0.0, 2.0, 2.0], [0.0, 0.0, 0.0, 0.0, 0.0]])
    layer = NumberEmbedding(torch.randn(2, 3), edges, SIZE, std=1.0)
    z = torch.tensor([[-3.0, 1.0], [-0.75, 0.0], [-0.5, -1.0], [1.0, 0.5], [2.0, 0.0], [9.0, 0.0]])
    ramps = torch.tensor(  # how far each number has come from one edge to the next
        [[0.0, 0, 0, 0], [0.5, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0.5, 0], [1, 1, 1, 0], [1, 1, 1, 0]]
    )
    found = layer(z) - layer.curve(z)
    assert torch.allclose(found[:, 0], layer.RAMP * ramps @ layer.steps[0], atol=1e-6)
    assert (found[:, 1] == 0).all()  # between equal edges there is no ramp


def test_neighbouring_values_of_few_can_be_told_apart():
    """Any function of a number with a few values is within reach of the ramps."""
    torch.manual_seed(0)
    edges, y = torch.arange(5.0)[None], torch.tensor([0.0, 9.0, -3.0, 4.0, 4.0])
    layer = NumberEmbedding(torch.zeros(1, 1), edges, 1, std=0.0)
    ramps = torch.linalg.lstsq(_responses(layer, edges[0]), y[:, None])
    assert (_responses(layer, edges[0]) @ ramps.solution - y[:, None]).abs().max() < 1e-4


def _responses(layer, values):
    """What each ramp, and a constant, answers to each value, (values, ramps + 1)."""
    columns = [torch.ones(len(values))]
    for step in range(layer.steps.shape[1]):
        with torch.no_grad():
            layer.steps.zero_()[0, step] = 1.0
        columns.append(layer(values[:, None])[:, 0, 0].detach())
    return torch.stack(columns, 1)


def test_slots_are_numbered_in_order():
    layout = SlotLayout(n_numbers=3, n_categories=2, n_columns=4, n_texts=2, n_soft=5)
    assert (layout.number, layout.category, layout.column, layout.soft) == (1, 4, 6, 10)
    assert layout.n_slots == 10 + 2 * 5
    assert SlotLayout(0, 0, 0, 0, 8).n_slots == 1


def test_every_slot_holds_the_vector_that_its_layout_says():
    encoder, (numbers, categories, texts) = _encoder(), _cells()
    vectors = encoder(numbers, categories, texts)
    layout = encoder.layout
    assert vectors.shape == (3, layout.n_slots, SIZE)
    assert (vectors[:, 0] == 0).all()
    value = encoder.numbers(numbers) + encoder.number_bias
    assert torch.equal(vectors[:, layout.number : layout.category], value)
    # Codes of the second category column come after the four of the first.
    assert torch.equal(vectors[:, layout.category], encoder.categories[categories[:, 0]])
    assert torch.equal(vectors[:, layout.category + 1], encoder.categories[4 + categories[:, 1]])
    assert torch.equal(vectors[2, layout.column : layout.soft], encoder.columns)


def test_a_missing_number_takes_the_missing_vector_whatever_the_others_are():
    encoder, (numbers, categories, texts) = _encoder(), _cells()
    before = encoder(numbers, categories, texts)
    numbers[1, 0] = torch.nan
    after = encoder(numbers, categories, texts)
    assert torch.allclose(after[1, 1], encoder.missing[0] + encoder.number_bias[0])
    after[1, 1] = before[1, 1]
    assert torch.equal(after, before)


def test_missing_numbers_do_not_poison_the_gradients():
    encoder, (numbers, categories, texts) = _encoder(), _cells()
    numbers[:, 0] = torch.nan
    encoder(numbers, categories, texts).pow(2).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters())
    assert (encoder.numbers.curve.weight.grad[0] == 0).all()
    assert (encoder.missing.grad[0] != 0).all()
    assert (encoder.missing.grad[1] == 0).all()


def test_missing_unseen_and_seen_categories_have_vectors_of_their_own():
    encoder, (numbers, _, texts) = _encoder(), _cells(4)
    codes = torch.tensor([[0, 0], [1, 1], [2, 2], [3, 2]])
    vectors = encoder(numbers, codes, texts)[:, encoder.layout.category :][:, :2]
    assert torch.equal(vectors[:, 0], encoder.categories[[0, 1, 2, 3]])
    assert torch.equal(vectors[:, 1], encoder.categories[[4, 5, 6, 6]])
    assert len(encoder.categories) == 7
    assert len(torch.unique(encoder.categories, dim=0)) == 7


def test_each_soft_token_sums_its_share_of_the_text_features():
    encoder, (numbers, categories, texts) = _encoder(), _cells()
    soft = encoder(numbers, categories, texts)[:, encoder.layout.soft :].view(3, 2, 3, SIZE)
    features = encoder.texts(texts.flatten(1)).view(3, 2, 5, SIZE)
    for text in range(2):
        for token in range(3):
            share = [f for f in range(5) if f % 3 == token]
            expected = features[:, text, share].sum(1)
            assert torch.allclose(soft[:, text, token], expected, atol=1e-6)


def test_soft_tokens_without_a_feature_are_zero():
    encoder, (numbers, categories, texts) = _encoder(n_features=2), _cells()
    soft = encoder(numbers, categories, texts[:, :, :2])[:, encoder.layout.soft :]
    assert (soft.view(3, 2, 3, SIZE)[:, :, 2] == 0).all()
    assert (soft.view(3, 2, 3, SIZE)[:, :, :2] != 0).any()


def test_an_encoder_without_any_cells_has_slot_zero_alone():
    encoder = _encoder(n_numbers=0, n_levels=(), n_columns=0, n_texts=0, n_features=0, n_soft=0)
    none = torch.zeros(3, 0)
    assert encoder(none, none.long(), none.unsqueeze(2)).shape == (3, 1, SIZE)


# -- hidden cells -----------------------------------------------------------------------------


def _hidden_and_shown(n_draws=200, dropout=0.3):
    """An encoder in training mode, the vectors of one row in many draws, and without hiding."""
    encoder, cells = _encoder(dropout=dropout), _cells(1)
    plain = encoder.eval()(*cells)[0]
    many = [value.expand(n_draws, *value.shape[1:]) for value in cells]
    return encoder.train(), encoder(*many), plain


def test_nothing_is_hidden_outside_of_training_nor_without_dropout():
    cells = _cells()
    encoder = _encoder(dropout=0.9).eval()
    none = _encoder(dropout=0.0)
    assert none.training
    assert torch.equal(encoder(*cells), none(*cells))
    slots = torch.arange(encoder.layout.n_slots).expand(50, -1)
    assert not encoder.blank(slots).any() and not none.blank(slots).any()


def test_hidden_numbers_read_as_missing():
    encoder, vectors, plain = _hidden_and_shown()
    for c in range(2):
        found, slot = vectors[:, 1 + c], 1 + c
        missing = encoder.missing[c] + encoder.number_bias[c]
        hidden, shown = _same(found, missing), _same(found, plain[slot])
        assert (hidden ^ shown).all()
        assert 0.15 < float(hidden.double().mean()) < 0.45


def test_hidden_categories_read_as_missing():
    encoder, vectors, plain = _hidden_and_shown()
    layout = encoder.layout
    for c, first in enumerate((0, 4)):  # code 0 of each column
        slot = layout.category + c
        hidden = _same(vectors[:, slot], encoder.categories[first])
        shown = _same(vectors[:, slot], plain[slot])
        assert (hidden | shown).all()
        assert hidden.any() and shown.any()


def test_hidden_text_features_count_as_zero_each_by_itself():
    encoder, cells = _encoder(dropout=0.3), _cells(1)
    texts = cells[2]
    features = encoder.texts(texts.flatten(1)).view(2, 5, SIZE)
    many = [value.expand(100, *value.shape[1:]) for value in cells]
    soft = encoder(*many)[:, encoder.layout.soft :].view(100, 2, 3, SIZE)
    # The first soft token of a text sums its features 0 and 3: four outcomes.
    a, b = features[0, 0], features[0, 3]
    outcomes = [_same(soft[:, 0, 0], value) for value in (0 * a, a, b, a + b)]
    assert torch.stack(outcomes).any(0).all()
    assert all(outcome.any() for outcome in outcomes)


def test_vectors_of_columns_and_of_nothing_are_never_hidden():
    encoder, vectors, plain = _hidden_and_shown()
    layout = encoder.layout
    assert (vectors[:, 0] == 0).all()
    assert (vectors[:, layout.column : layout.soft] == plain[layout.column : layout.soft]).all()


def test_cells_are_hidden_each_by_itself_and_anew_in_each_step():
    encoder, vectors, plain = _hidden_and_shown()
    shown = torch.stack([_same(vectors[:, 1 + c], plain[1 + c]) for c in range(2)])
    for one in (True, False):
        for other in (True, False):
            assert ((shown[0] == one) & (shown[1] == other)).any()
    cells = [value.expand(50, *value.shape[1:]) for value in _cells(1)]
    assert not torch.equal(encoder(*cells), encoder(*cells))


def test_a_share_of_the_tokens_that_spell_a_cell_is_blank_and_no_others_are():
    encoder = _encoder(dropout=0.3)
    layout = encoder.layout
    slots = torch.arange(layout.n_slots).expand(2000, -1)
    share = encoder.blank(slots).double().mean(0)
    spelled = torch.zeros(layout.n_slots, dtype=torch.bool)
    spelled[layout.column : layout.soft] = True
    assert (share[~spelled] == 0).all()
    assert ((share[spelled] - 0.3).abs() < 0.06).all()


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_estimates_are_hidden_by_a_share_of_their_own(dropout):
    encoder = _encoder(dropout=dropout, n_estimates=1, estimate_dropout=0.4)
    cells = [value.expand(2000, *value.shape[1:]) for value in _cells(1)]
    vectors, shown = encoder(*cells), encoder.eval()(*cells)
    hidden = ~_same(vectors[:, 1:3], shown[:, 1:3])
    share = hidden.double().mean(0)
    assert float(share[0]) == pytest.approx(dropout, abs=0.03)
    assert float(share[1]) == pytest.approx(0.4, abs=0.04)
    missing = encoder.missing[1] + encoder.number_bias[1]
    assert _same(vectors[:, 2], missing)[hidden[:, 1]].all()


def _same(vectors, expected):
    return (vectors - expected).abs().amax(-1) < 1e-5


def test_a_standard_deviation_of_zero_starts_without_effect():
    assert (_encoder(std=0.0)(*_cells()) == 0).all()


def test_an_encoder_is_rebuilt_from_its_recipe_and_its_weights():
    encoder, cells = _encoder(dropout=0.25).eval(), _cells()
    cells[0][0, 1] = torch.nan
    rebuilt = CellEncoder.from_recipe(encoder.recipe)
    assert not torch.equal(rebuilt(*cells), encoder(*cells))
    rebuilt.load_state_dict(encoder.state_dict())
    assert torch.equal(rebuilt.eval()(*cells), encoder(*cells))
    assert torch.equal(rebuilt.numbers.edges, encoder.numbers.edges)
    assert rebuilt.dropout == 0.25
    assert rebuilt.recipe == encoder.recipe
