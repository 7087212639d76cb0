"""``python -m actionspace``, which is also what ``torchrun -m actionspace train ...`` starts."""

from actionspace.cli import main

if __name__ == "__main__":
    main()
