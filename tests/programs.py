"""Whole programs, written for torch once; the tests and the benchmark hand them torch or optimlab as ``torch``."""


def digits_mlp(torch, x_train, y_train, x_test, y_test, epochs=20):
    """A 64-128-10 network on digits with Adam; returns the loss of each epoch and the share of right answers."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
    loss_fn = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    losses = []
    for _ in range(epochs):
        order = torch.randperm(len(x_train))
        total = 0.0
        for start in range(0, len(x_train), 64):
            batch = order[start : start + 64]
            optimizer.zero_grad()
            loss = loss_fn(net(x_train[batch]), y_train[batch])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        losses.append(total / len(x_train))
    with torch.no_grad():
        right = (net(x_test).argmax(1) == y_test).float().mean().item()
    return losses, right
