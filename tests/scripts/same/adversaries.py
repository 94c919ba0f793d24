"""Pictures moved along the sign of their gradient until they are taken for another class; a picture painted by one."""

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim

from given import noise, pictures, redraw


class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.conv1 = nn.Conv2d(1, 6, 3, 1)
        self.dropout1 = nn.Dropout(0.25)
        self.fc1 = nn.Linear(6 * 7 * 7, 4)

    def forward(self, x):
        x = self.conv1(x)
        x = F.relu(x)
        x = F.max_pool2d(x, 2)
        x = self.dropout1(x)
        x = torch.flatten(x, 1)
        return F.log_softmax(self.fc1(x), dim=1)


def fgsm_attack(image, epsilon, data_grad):
    sign_data_grad = data_grad.sign()
    perturbed_image = image + epsilon * sign_data_grad
    return torch.clamp(perturbed_image, -1, 2)


def denorm(batch, mean=[0.1307], std=[0.3081]):
    if isinstance(mean, list):
        mean = torch.tensor(mean)
    if isinstance(std, list):
        std = torch.tensor(std)
    return batch * std.view(1, -1, 1, 1) + mean.view(1, -1, 1, 1)


images, labels = pictures(channels=1)
x, y = torch.from_numpy(images), torch.from_numpy(labels)
model = redraw(Net())
model.eval()
optimizer = optim.Adadelta(model.parameters(), lr=1.0)
for epoch in range(12):
    optimizer.zero_grad()
    F.nll_loss(model(x), y).backward()
    optimizer.step()
for eps in [0, 0.05, 0.2]:
    correct, adv_examples = 0, []
    for data, target in zip(x.split(1), y.split(1)):
        data.requires_grad = True
        output = model(data)
        init_pred = output.max(1, keepdim=True)[1]
        if init_pred.item() != target.item():
            continue
        loss = F.nll_loss(output, target)
        model.zero_grad()
        loss.backward()
        perturbed_data = fgsm_attack(denorm(data), eps, data.grad.data)
        output = model((perturbed_data - 0.1307) / 0.3081)
        final_pred = output.max(1, keepdim=True)[1]
        if final_pred.item() == target.item():
            correct += 1
        elif len(adv_examples) < 5:
            adv_examples.append((init_pred.item(), final_pred.item(), perturbed_data.squeeze().detach().cpu().numpy()))
    print(f"Epsilon: {eps}\tTest Accuracy = {correct} / {len(x)} = {correct / float(len(x))}")
    print([(a, b, round(float(ex.mean()), 4)) for a, b, ex in adv_examples])

input_img = torch.from_numpy(noise(1, 1, 16, 16)).clone().requires_grad_(True)
painter = optim.SGD([input_img], lr=0.5, momentum=0.5)
for i in range(4):
    painter.zero_grad()
    loss = (
        -model(input_img)[0, 2]
        + 1e-2 * input_img.pow(2).sum()
        + 1e-3 * (input_img[:, :, 1:] - input_img[:, :, :-1]).abs().sum()
    )
    loss.backward()
    painter.step()
    with torch.no_grad():
        input_img.clamp_(-1, 1)
    print(i, loss.item(), input_img.abs().mean().item())
