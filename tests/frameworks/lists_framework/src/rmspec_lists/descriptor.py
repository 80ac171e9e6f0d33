"""Plain lists, as rmspec knows them."""

from rmspec.impl import Constructor, Defaults, Dialect
from rmspec.oracles import Framework, Layout, RegisteredSubject

LISTS = Dialect(
    "lists",
    "RMSprop over plain lists",
    eps_place="inside",
    decay="none",
    centered_form="never",
    momentum_form="never",
    defaults=Defaults(lr=0.01, alpha=0.9, eps=1e-6),
    constructor=Constructor(
        "rmspec_lists.RMSprop",
        {"lr": "rate", "alpha": "keep", "eps": "tiny"},
        state_names={"square_avg": "squares", "grad_avg": "means", "momentum_buffer": "moves"},
    ),
)

FRAMEWORK = Framework(
    name="lists",
    requires="rmspec_lists",
    install="pip install rmspec-lists",
    package="rmspec_lists",
    subjects={"lists": RegisteredSubject(title="rmspec_lists.RMSprop over plain Python lists", dialect="lists")},
    registered="rmspec_lists.subject:registered",
    user_subject="rmspec_lists.subject:user_subject",
    prefixes=("rmspec_lists",),
    baseline="lists",
    dialects=(LISTS,),
    layouts=(
        Layout(
            reads=(".lists",),
            writes=(".lists",),
            dialects=("lists",),
            reader="rmspec_lists.files:read",
            writer="rmspec_lists.files:write",
            loading={".lists": "import json\noptimizer.squares = json.load(open({path}))"},
        ),
    ),
    script="rmspec_lists.script:statements",
    blind_spots=("lists of lists, which rmspec_lists does not step",),
)
