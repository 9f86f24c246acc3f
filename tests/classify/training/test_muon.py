from copy import deepcopy

import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from torch import nn  # noqa: E402

from classify.training.muon import muon, orthogonal  # noqa: E402

pytestmark = pytest.mark.train
SETTINGS = {"lr": 0.05, "betas": (0.9, 0.99), "weight_decay": 0.0}


@pytest.mark.parametrize("shape", [(8, 8), (4, 30), (30, 4)])
def test_a_step_is_nearly_orthogonal(shape):
    step = orthogonal(torch.randn(*shape, generator=torch.Generator().manual_seed(0)))
    assert step.shape == shape
    values = torch.linalg.svdvals(step)
    assert values.min() > 0.4 and values.max() < 1.4


def test_a_step_points_where_the_gradient_does():
    u, _, v = torch.linalg.svd(
        torch.randn(6, 9, generator=torch.Generator().manual_seed(1)), full_matrices=False
    )
    gradient = u @ torch.diag(torch.tensor([9.0, 5.0, 2.0, 1.0, 0.5, 0.3])) @ v
    assert (
        torch.nn.functional.cosine_similarity(
            orthogonal(gradient).flatten(), (u @ v).flatten(), dim=0
        )
        > 0.97
    )


def net_and_loss():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.SiLU(), nn.Conv2d(6, 2, 1))
    x, y = torch.randn(8, 3, 5, 5), torch.randn(8, 2, 5, 5)
    return net, lambda: ((net(x) - y) ** 2).mean()


def test_matrices_are_turned_and_the_rest_is_adamws():
    net, loss = net_and_loss()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    optimizer = muon(net, [net[0]], **SETTINGS)
    loss().backward()
    optimizer.step()
    turned = (before["0.weight"] - net[0].weight).flatten(1)
    assert torch.linalg.svdvals(turned).min() > 0.3 * torch.linalg.svdvals(turned).max()
    by_adam = (before["2.weight"] - net[2].weight).abs()
    assert torch.allclose(
        by_adam, torch.full_like(by_adam, SETTINGS["lr"]), rtol=1e-3
    )  # Adam's first step is the learning rate
    assert not torch.equal(before["0.bias"], net[0].bias)


def test_what_it_remembers_is_kept_and_read_again():
    net, loss = net_and_loss()
    whole = muon(net, [net[0]], **SETTINGS)
    first = loss().item()
    for _ in range(3):
        whole.zero_grad()
        loss().backward()
        whole.step()
    state, weights = deepcopy(whole.state_dict()), deepcopy(net.state_dict())
    whole.zero_grad()
    loss().backward()
    whole.step()
    expected = deepcopy(net.state_dict())
    net.load_state_dict(weights)
    resumed = muon(net, [net[0]], **SETTINGS)
    resumed.load_state_dict(state)
    resumed.zero_grad()
    loss().backward()
    resumed.step()
    assert (
        all(torch.equal(expected[k], v) for k, v in net.state_dict().items())
        and loss().item() < first
    )
