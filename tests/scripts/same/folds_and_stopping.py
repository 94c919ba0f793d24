"""Cross-validation by samplers of subsets: each fold stops early and goes back to the best weights that it saved."""

import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import ConcatDataset, DataLoader, SubsetRandomSampler, TensorDataset

from given import noise, pictures, redraw


class EarlyStopping:
    """Stops a training whose validation loss has not improved for a number of epochs."""

    def __init__(self, patience=2, verbose=False, delta=0, path="checkpoint.pt"):
        self.patience, self.verbose, self.delta, self.path = patience, verbose, delta, path
        self.counter, self.best_score, self.early_stop, self.val_loss_min = 0, None, False, np.inf

    def __call__(self, val_loss, model):
        score = -val_loss
        if self.best_score is None or score >= self.best_score + self.delta:
            self.best_score = score
            self.save_checkpoint(val_loss, model)
            self.counter = 0
        else:
            self.counter += 1
            print(f"EarlyStopping counter: {self.counter} out of {self.patience}")
            self.early_stop = self.counter >= self.patience

    def save_checkpoint(self, val_loss, model):
        if self.verbose:
            print(f"Validation loss decreased ({self.val_loss_min:.6f} --> {val_loss:.6f}).  Saving model ...")
        torch.save(model.state_dict(), self.path)
        self.val_loss_min = val_loss


def reset_weights(m):
    for layer in m.children():
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()


def epoch_of(model, loader, criterion, optimizer=None):
    model.train(optimizer is not None)
    total, correct, count = 0.0, 0, 0
    with torch.set_grad_enabled(optimizer is not None):
        for data, target in loader:
            output = model(data)
            loss = criterion(output, target)
            if optimizer is not None:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            total += loss.item() * data.size(0)
            correct += output.argmax(1).eq(target).sum().item()
            count += data.size(0)
    return total / count, 100.0 * correct / count


images, labels = pictures(24, size=8)
first = TensorDataset(torch.from_numpy(images), torch.from_numpy(labels))
second = TensorDataset(torch.from_numpy(images + 0.5 * noise(*images.shape)), torch.from_numpy(labels))
dataset = ConcatDataset([first, second])
k_folds, results = 3, {}
folds = np.array_split(np.arange(len(dataset)), k_folds)
network = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(216, 4))
for fold, test_ids in enumerate(folds):
    train_ids = np.concatenate([ids for number, ids in enumerate(folds) if number != fold])
    trainloader = DataLoader(dataset, batch_size=len(train_ids), sampler=SubsetRandomSampler(train_ids.tolist()))
    testloader = DataLoader(dataset, batch_size=5, sampler=SubsetRandomSampler(test_ids))
    print(f"FOLD {fold}: {len(trainloader.sampler)} to learn from in {len(trainloader)}, {len(testloader)} to test")
    network.apply(reset_weights)
    redraw(network)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.03)
    criterion = nn.CrossEntropyLoss()
    stopping = EarlyStopping(patience=2, verbose=True, delta=1e-3, path=f"fold-{fold}.pt")
    for epoch in range(9):
        loss, accuracy = epoch_of(network, trainloader, criterion, optimizer)
        val_loss, _ = epoch_of(network, testloader, criterion)
        print(f"Epoch {epoch + 1}: train {loss:.5f} ({accuracy:.1f}%)")
        stopping(val_loss, network)
        if stopping.early_stop:
            print("Early stopping")
            break
    network.load_state_dict(torch.load(f"fold-{fold}.pt"))
    results[fold] = epoch_of(network, testloader, criterion)
print(
    f"Average: {np.mean([accuracy for _, accuracy in results.values()]):.2f} %", {k: v[1] for k, v in results.items()}
)
