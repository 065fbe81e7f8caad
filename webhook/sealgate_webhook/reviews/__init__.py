"""AdmissionReviews, decoded and encoded. Pure."""
