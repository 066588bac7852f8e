"""python -m mlff_student"""

from .cli import main

if __name__ == "__main__":
    main(prog_name="mlff-student")
