"""What pyproject.toml cannot say: the exercises live beside the tutorials and ship inside the package."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["tinyvision*"]), "tinyvision.learn.exercises"],
    package_dir={"tinyvision.learn.exercises": "tutorials/exercises"},
)
