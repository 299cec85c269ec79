"""All of the project's description is in pyproject.toml; here is only what an editable install needs besides.

Of the data files, setuptools (84 and before) would install none in an editable install: it asks the distribution
whether it `has_data`, a question only its `install` command can answer.
"""

from setuptools import setup
from setuptools.command.editable_wheel import editable_wheel


class EditableWheelWithData(editable_wheel):
    """Brings the file that enables the extension of the Jupyter server, as every other install does."""

    def run(self) -> None:
        self.distribution.has_data = self.distribution.has_data_files
        super().run()


setup(cmdclass={"editable_wheel": EditableWheelWithData})
