"""DICOMweb (PS3.18): pictures out of an archive, results into it."""
