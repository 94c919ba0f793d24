"""Reading CUDA texts: their kernels, the kernels' parameters, and what has no place in a text from somebody else."""

import re

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)
_DIRECTIVES = ("define", "undef", "if", "ifdef", "ifndef", "elif", "else", "endif", "pragma unroll")
_GLOBAL = r"__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\s*\(([^)]*)\)"


def without_comments(text: str) -> str:
    """The text with a space for each comment; lines keep their numbers."""
    return _COMMENT.sub(lambda found: " " + "\n" * found[0].count("\n"), text)


def _joined(text):
    return re.sub(r"\\\n\s*", " ", text)


def kernel_names(text: str) -> list[str]:
    """The names of all kernels of a CUDA text, those that a macro defines included."""
    return list(parameters(text))


def parameters(text: str) -> dict[str, list[tuple[str, str]]]:
    """{kernel: (type, name) of each parameter} of a CUDA text; "const" is left out."""
    text = _joined(without_comments(text))
    macros = dict(re.findall(r"#define (\w+)\(name[^\n]*?\) [^\n]*?__global__[^\n]*?\bname\(([^)]*)\)", text))
    found = [(name, given) for name, given in re.findall(_GLOBAL, text) if name != "name"]
    found += [(kernel, macros[macro]) for macro in macros for kernel in re.findall(rf"^{macro}\((\w+)", text, re.M)]
    return {kernel: [_parameter(p) for p in given.split(",") if p.strip()] for kernel, given in found}


def _parameter(text):
    words = re.sub(r"\b(const|__restrict__)\b", " ", text).replace("*", " * ").split()
    return " ".join(words[:-1]).replace(" *", "*"), words[-1]


def signatures(text: str) -> dict[str, list[str]]:
    """{kernel: the types of its parameters} of a CUDA text."""
    return {kernel: [type_ for type_, _ in given] for kernel, given in parameters(text).items()}


def refused(text: str) -> str | None:
    """Why a text from somebody else is not built, or None: it may include no file and hold no machine code."""
    bare = without_comments(_joined(text)).replace("%:", "#")
    for directive in re.findall(r"^[ \t]*#[ \t]*(\w*(?: unroll\b)?)", bare, re.M):
        if directive and directive not in _DIRECTIVES:
            return f"#{directive} has no place here; the functions of CUDA are known without it"
    if word := re.search(r"\b(asm|__asm__|__asm|_Pragma|__attribute__|__attribute|__has_include)\b", bare):
        return f"{word[1]} has no place here; plain CUDA C is enough"
    return None
