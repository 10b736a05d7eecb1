"""One file per study; what each has is said in `loadtests.study`."""
