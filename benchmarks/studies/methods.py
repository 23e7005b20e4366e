"""All methods × decodings on eight real tables, four of them with text, at three seeds.

    LLMREG_DATA=<folder> python -m benchmarks.studies.methods
    LLMREG_DATA=<folder> python -m benchmarks.studies.methods --quick --out methods_quick

A fixed choice of arguments for examples/compare_methods.py, whose own arguments may follow and then
count; it can be stopped and started again. For all methods to be affordable on one core (about 7 s
a stage), the fresh model sees at most 500 rows, 15 + 5 times, where the estimator itself would
choose up to 60 + 20 epochs. So the figures compare methods, and do not say how good each can get.
"""

import sys

from examples.compare_methods import main

# Numbers and categories. All four are tasks of the TALENT benchmark that GenRe² measures on.
TABLES = ["concrete", "qsar_fish_toxicity", "fiat500", "insurance"]
# Names of cars beside few or many other columns; names and SMILES of molecules, and nothing else.
TEXTS = ["auto_mpg", "used_cars_us", "epa_2021", "esol_smiles"]
ARGUMENTS = [
    *["--data", *TABLES, *TEXTS],
    *["--seeds", "0", "1", "2"],
    *["--max-rows", "500", "--sft-epochs", "15", "--align-epochs", "5"],
    *["--out", "methods"],
]

if __name__ == "__main__":
    main([*ARGUMENTS, *sys.argv[1:]])
