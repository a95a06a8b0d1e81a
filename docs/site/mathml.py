r"""Equations of the pages as MathML, which browsers draw without a script and without a request.

The part of LaTeX that the pages use: scripts, fractions, roots, accents, sums and limits, delimiters in three sizes.
Another command raises `ValueError`, which stops the build. `latex2mathml` would be the library; it is one more package.
"""

from __future__ import annotations

import html
import re

TOKEN = re.compile(r"\\[a-zA-Z]+|\\.|\S")
SYMBOLS = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ϵ", "varepsilon": "ε", "zeta": "ζ", "eta": "η",
    "theta": "θ", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ",
    "tau": "τ", "phi": "ϕ", "varphi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω", "Gamma": "Γ", "Delta": "Δ",
    "Theta": "Θ", "Lambda": "Λ", "Pi": "Π", "Sigma": "Σ", "Phi": "Φ", "Psi": "Ψ", "infty": "∞", "partial": "∂",
    "nabla": "∇", "ell": "ℓ", "dots": "…", "ldots": "…", "top": "⊤",
}  # fmt: skip
OPERATORS = {
    "cdot": "⋅", "odot": "⊙", "times": "×", "mid": "∣", "propto": "∝", "sim": "∼", "approx": "≈", "in": "∈", "ge": "≥",
    "geq": "≥", "le": "≤", "leq": "≤", "ne": "≠", "neq": "≠", "ll": "≪", "gg": "≫", "equiv": "≡", "to": "→",
    "leftarrow": "←", "rightarrow": "→", "pm": "±", "circ": "∘", "cdots": "⋯",
}  # fmt: skip
DELIMITERS = {"lvert": "|", "rvert": "|", "lVert": "‖", "rVert": "‖", "{": "{", "}": "}", "|": "‖"}
DELIMITERS |= {c: c for c in "()[]|/"}
LIMITS = {"sum": "∑", "prod": "∏", "max": "max", "min": "min", "lim": "lim"}
FUNCTIONS = ("arg", "log", "exp", "cos", "sin", "tanh")
SPACES = {",": 0.17, ":": 0.22, ";": 0.28, " ": 0.3, "quad": 1.0, "qquad": 2.0, "!": -0.17}
ACCENTS = {"tilde": "~", "hat": "^", "bar": "¯", "overline": "¯", "dot": "˙"}
SIZES = {"big": 1.2, "Big": 1.8, "bigl": 1.2, "bigr": 1.2, "left": 1.2, "right": 1.2}
LETTERS = {"mathcal": {"A": "𝒜", "S": "𝒮", "N": "𝒩", "D": "𝒟", "H": "ℋ"}, "mathbb": {"E": "𝔼", "R": "ℝ", "1": "𝟙"}}


def mathml(source: str, display: bool = False) -> str:
    """One equation as a `<math>` element. Raises `ValueError` with the command that is not known here."""
    reader = _Reader(TOKEN.findall(re.sub(r"\\text\s*\{([^{}]*)\}", _text, source)))
    body = reader.row("")
    kind = ' display="block"' if display else ""
    return f'<math{kind} aria-label="{_escape(" ".join(source.split()))}"><mrow>{body}</mrow></math>'


def _text(found: re.Match[str]) -> str:
    """`\\text{a b}` in one token a word, so that the reader needs no rule for spaces in it."""
    return "".join(f"\\ \\mathrm{{{word}}}" for word in found[1].split())


def _escape(text: str) -> str:
    """Punctuation as numbers, so that Markdown does not read it."""
    return re.sub(r"[^\w\s]|_", lambda c: f"&#{ord(c[0])};", html.unescape(text))


def _tag(name: str, body: str, **attributes: object) -> str:
    given = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return f"<{name}{given}>{body}</{name}>"


def _delimiter(name: str, size: float = 0) -> str:
    how: dict[str, object] = {"minsize": f"{size}em", "maxsize": f"{size}em"} if size else {"stretchy": "false"}
    sign = DELIMITERS.get(name.lstrip("\\"))
    if sign is None:
        raise ValueError(f"{name} is no delimiter that docs/site/mathml.py knows")
    spaced = {} if sign in "()[]{}" else {"lspace": "0", "rspace": "0"}
    return _tag("mo", _escape(sign), **how, **spaced)


class _Reader:
    def __init__(self, tokens: list[str]) -> None:
        self.tokens, self.place = tokens, 0

    def next(self) -> str:
        if self.place == len(self.tokens):
            raise ValueError("the equation ends too early")
        self.place += 1
        return self.tokens[self.place - 1]

    def peek(self) -> str:
        return self.tokens[self.place] if self.place < len(self.tokens) else ""

    def row(self, end: str) -> str:
        """All up to the token `end`, which is read too."""
        parts = []
        while self.peek() != end:
            parts.append(self.scripted())
        self.place += bool(end)
        return "".join(parts)

    def group(self) -> str:
        """The next argument: all in braces, one atom or one digit."""
        if self.peek().isdigit():
            return _tag("mn", self.next())
        if self.peek() != "{":
            return self.atom()
        self.next()
        return f"<mrow>{self.row('}')}</mrow>"

    def words(self) -> str:
        """The plain letters of an argument."""
        if self.next() != "{":
            return self.tokens[self.place - 1]
        letters = []
        while self.peek() != "}":
            letters.append(self.next())
        self.next()
        return "".join(letters)

    def scripted(self) -> str:
        limits = self.peek().lstrip("\\") in LIMITS and self.peek().startswith("\\")
        base, below, above, primes = self.atom(), "", "", ""
        while self.peek() in ("_", "^", "'"):
            mark = self.next()
            if mark == "'":
                primes += "′"
            elif mark == "_":
                below = self.group()
            else:
                above = self.group()
        if primes:  # a font's prime is small and raised already
            base = f'<mrow>{base}<mo lspace="0" rspace="0">{primes}</mo></mrow>'
        both = "munderover" if limits else "msubsup"
        if below and above:
            return _tag(both, base + below + above)
        if below or above:
            names = {"msubsup": ("msub", "msup"), "munderover": ("munder", "mover")}[both]
            return _tag(names[0] if below else names[1], base + below + above)
        return base

    def atom(self) -> str:
        token = self.next()
        if token == "{":
            return f"<mrow>{self.row('}')}</mrow>"
        if not token.startswith("\\"):
            return self._plain(token)
        name = token[1:]
        if name in SYMBOLS:
            return _tag("mi", SYMBOLS[name])
        if name in OPERATORS:
            return _tag("mo", OPERATORS[name])
        if name in LIMITS:
            return _tag("mo", LIMITS[name], movablelimits="true", lspace="0.17em", rspace="0.17em")
        if name in FUNCTIONS:
            return _tag("mo", name, lspace="0.17em", rspace="0.17em")
        if name in SPACES:
            return f'<mspace width="{SPACES[name]}em"></mspace>'
        return self._command(name)

    def _plain(self, token: str) -> str:
        if token in DELIMITERS:
            return _delimiter(token)
        if token.isalpha():
            return _tag("mi", token)
        if token.isdigit():
            while self.peek().isdigit() or re.fullmatch(r"\.\d", "".join(self.tokens[self.place : self.place + 2])):
                token += self.next()
            return _tag("mn", token)
        return _tag("mo", "−" if token == "-" else _escape(token))

    def _command(self, name: str) -> str:
        if name in ("frac", "tfrac"):
            return _tag("mfrac", self.group() + self.group())
        if name == "sqrt":
            return _tag("msqrt", self.group())
        if name in ACCENTS:
            return _tag("mover", self.group() + f'<mo stretchy="{str(name == "overline").lower()}">'
                        f"{_escape(ACCENTS[name])}</mo>", accent="true")  # fmt: skip
        if name in ("mathrm", "operatorname"):
            return _tag("mi", _escape(self.words()), mathvariant="normal")
        if name in LETTERS:
            letters = self.words()
            if set(letters) - set(LETTERS[name]):
                raise ValueError(f"\\{name}{{{letters}}} is not in LETTERS of docs/site/mathml.py")
            return _tag("mi", "".join(LETTERS[name][c] for c in letters))
        if name in SIZES:
            return _delimiter(self.next(), SIZES[name])
        if name in DELIMITERS:
            return _delimiter(name)
        raise ValueError(f"\\{name} is not known to docs/site/mathml.py: add it there")
