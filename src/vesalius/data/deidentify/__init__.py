"""De-identification of DICOM by PS3.15's Basic Profile as an allow-list, and its independent check.

``deidentify`` is the verb, ``check_folder`` looks at what is there. The rules are data:
profile.yaml is the standard's table, policy.yaml says what becomes of everything else.
"""

from vesalius.data.deidentify.options import Options
from vesalius.data.deidentify.run import Summary, check_folder, deidentify
from vesalius.data.deidentify.sharing import SharedDeidentification

__all__ = ["Options", "SharedDeidentification", "Summary", "check_folder", "deidentify"]
