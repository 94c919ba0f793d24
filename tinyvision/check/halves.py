"""Layers that are right in their own network: the other half of the derivative stands in the loss."""

from dataclasses import replace

from .report import Report

# (op, arguments that are off, what their finding must be called, the other half)
HALVES = (
    ("linear", ("dweight", "dbias"), ("divided_by_batch", "averaged", "factor:1/N"),
     "dweight and dbias are divided by N: right if the gradient of your loss is not."),
    ("conv2d", ("dweight", "dbias"), ("divided_by_batch", "averaged_over_batch", "factor:1/N"),
     "dweight and dbias are divided by N: right if the gradient of your loss is not."),
    ("linear", ("dweight",), ("leak:weight",), "{}: right if your loss has the penalty that it is the slope of."),
    ("conv2d", ("dweight",), ("leak:weight",), "{}: right if your loss has the penalty that it is the slope of."),
    ("softmax", ("dx",), ("identity",), "backward hands dy on: right if your loss already gives p - onehot."),
)  # fmt: skip


# A loss that leaves out the mean is more often a mistake than a half: it stays wrong, and is told when it is right.
LEFT_OUT = "Right only if every layer divides its dweight and dbias by N: check.chain([...], x, labels) tells."


def halves(report: Report, op: str) -> None:
    """Where all that is off is the other half's business, say so, and call it neither right nor wrong."""
    findings = {f.argument: f for f in report.findings}
    for known, arguments, names, words in HALVES:
        right = all(s == "ok" for what, s in report.status.items() if what not in arguments)
        called = {(f.mistake or f.signature or "").rpartition(".")[2] for f in findings.values()}
        lacking = {"dbias"} if "no bias" in report.read_as else set()
        if known == op and right and set(findings) == set(arguments) - lacking and called <= set(names):
            words = words.format(*(f.message.removeprefix("This looks like ").rstrip(".") for f in report.findings))
            report.status.update(dict.fromkeys(findings, "half"))
            report.findings.clear()
            report.notes.insert(0, f"Half: {words}")
    for k, finding in enumerate(report.findings):
        if op == "cross_entropy" and (finding.mistake or "").endswith(".dlogits.not_averaged"):
            report.findings[k] = replace(finding, facts=(*finding.facts, LEFT_OUT))
