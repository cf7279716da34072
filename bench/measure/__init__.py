"""The measurements of mod_dbtest; bench/run is how they are started."""
