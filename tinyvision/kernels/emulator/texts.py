"""Reading CUDA texts: their kernels, the kernels' parameters, and what has no place in a text from somebody else."""

import re

# What looks like a comment within quotes is none, so quotes are matched as well, and first.
_QUOTED_OR_COMMENT = re.compile(r"""("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|/\*.*?\*/|//[^\n]*""", re.S)
_DIRECTIVES = ("define", "undef", "if", "ifdef", "ifndef", "elif", "else", "endif", "pragma unroll")
_GLOBAL = r"__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\s*\(([^)]*)\)"


def without_comments(text: str) -> str:
    """The text with a space for each comment; lines keep their numbers."""
    return _QUOTED_OR_COMMENT.sub(lambda found: found[1] or " " + "\n" * found[0].count("\n"), text)


def _joined(text):
    return re.sub(r"\\\n\s*", " ", text)


def kernel_names(text: str) -> list[str]:
    """The names of all kernels of a CUDA text, those that a macro defines included."""
    return list(parameters(text))


def parameters(text: str) -> dict[str, list[tuple[str, str]]]:
    """{kernel: (type, name) of each parameter} of a CUDA text; "const" is left out."""
    text = _joined(without_comments(text))
    for name, meant in re.findall(r"^using (\w+) = ([\w ]+);", text, re.M):  # of two, the first one counts
        text = re.sub(rf"\b{name}\b", meant, text)
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
    """Why a text from somebody else is not built, or None: it may include no file and hold no machine code.

    Only what g++ reads exactly as we do here is let through, for what g++ sees and we do not could be anything."""
    if re.search(r"[\ud800-\udfff]", text):
        return "half a character (a lone surrogate) has no place here; no file can hold it"
    if odd := re.search(r"[\0-\x08\v\f\x0e-\x1f]|\r(?!\n)", text):
        return f"the character {odd[0]!r} has no place here"
    bare = without_comments(re.sub(r"\\[ \t]*\r?\n", "", text)).replace("%:", "#")
    for directive in re.findall(r"^[ \t]*#[ \t]*(\w*(?: unroll\b)?)", bare, re.M):
        if directive and directive not in _DIRECTIVES:
            return f"#{directive} has no place here; the functions of CUDA are known without it"
    if word := re.search(r"\b(asm|__asm__|__asm|_Pragma|__attribute__|__attribute|__has_include)\b", bare):
        return f"{word[1]} has no place here; plain CUDA C is enough"
    if joint := re.search(r"##|\?\?[=/'()!<>-]", bare):  # these make words, and signs, that stand nowhere in the text
        return f"{joint[0]} has no place here; write the word itself"
    # A plain string has no slash, so none that begins or ends a comment; a letter before it may make it a raw one.
    unquoted = re.sub(r"""(\bextern"C"|(?<![\w$])"[^"'\\/\n]*")""", " ", bare)
    if sign := re.search(r"""["'\\]""", unquoted):
        return f"{sign[0]} has no place here; a kernel needs no characters and no strings but plain ones"
    return None
