"""What pyproject.toml cannot say: `confs/` is shipped inside the package, as `neus/confs/`."""

from setuptools import find_packages, setup

setup(packages=[*find_packages(include=["neus", "neus.*"]), "neus.confs"], package_dir={"neus.confs": "confs"})
