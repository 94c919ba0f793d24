"""A small network learns from a large one: soft targets at a temperature, cosine of hidden features, frozen weights."""

import torch
import torch.nn as nn
import torch.optim as optim

from given import pictures, redraw


class DeepNN(nn.Module):
    def __init__(self, width, num_classes=4):
        super(DeepNN, self).__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, width, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=2, stride=2),
            nn.Conv2d(width, 4, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=2, stride=2),
        )
        self.classifier = nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Dropout(0.0), nn.Linear(8, num_classes))

    def forward(self, x):
        x = self.features(x)
        x = torch.flatten(x, 1)
        return self.classifier(x), x


def train(model, train_loader, epochs, learning_rate):
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters(), lr=learning_rate)
    model.train()
    for epoch in range(epochs):
        running_loss = 0.0
        for inputs, labels in train_loader:
            optimizer.zero_grad()
            outputs, _ = model(inputs)
            loss = criterion(outputs, labels)
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
        print(f"Epoch {epoch + 1}/{epochs}, Loss: {running_loss / len(train_loader)}")


def distill(teacher, student, train_loader, epochs, learning_rate, T, soft_target_loss_weight, ce_loss_weight):
    ce_loss, cosine_loss = nn.CrossEntropyLoss(), nn.CosineEmbeddingLoss()
    optimizer = optim.AdamW(student.parameters(), lr=learning_rate)
    teacher.eval()
    student.train()
    for epoch in range(epochs):
        running_loss = 0.0
        for inputs, labels in train_loader:
            optimizer.zero_grad()
            with torch.no_grad():
                teacher_logits, teacher_hidden = teacher(inputs)
            student_logits, student_hidden = student(inputs)
            soft_targets = nn.functional.softmax(teacher_logits / T, dim=-1)
            soft_prob = nn.functional.log_softmax(student_logits / T, dim=-1)
            soft_targets_loss = (
                torch.sum(soft_targets * (soft_targets.log() - soft_prob)) / soft_prob.size()[0] * (T**2)
            )
            same = nn.functional.kl_div(soft_prob, soft_targets, reduction="batchmean") * T**2
            assert torch.allclose(soft_targets_loss, same)
            hidden_rep_loss = cosine_loss(student_hidden, teacher_hidden, target=torch.ones(inputs.size(0)))
            label_loss = ce_loss(student_logits, labels)
            loss = soft_target_loss_weight * soft_targets_loss + ce_loss_weight * (label_loss + hidden_rep_loss)
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
        print(f"Epoch {epoch + 1}/{epochs}, Loss: {running_loss / len(train_loader)}")


images, labels = pictures()
loader = list(zip(torch.from_numpy(images).split(8), torch.from_numpy(labels).split(8)))
teacher, student = redraw(DeepNN(8)), redraw(DeepNN(3))
print(f"{sum(p.numel() for p in teacher.parameters()):,} teach {sum(p.numel() for p in student.parameters()):,}")
train(teacher, loader, epochs=3, learning_rate=0.01)
for param in teacher.parameters():
    param.requires_grad = False
distill(teacher, student, loader, 3, 0.01, T=2, soft_target_loss_weight=0.25, ce_loss_weight=0.75)
with torch.no_grad():
    _, predicted = torch.max(student(torch.from_numpy(images))[0].data, 1)
print(f"{100 * (predicted == torch.from_numpy(labels)).sum().item() / len(labels):.2f}%")
