"""The shell: storage, services, HTTP and pages around the pure rooms."""
