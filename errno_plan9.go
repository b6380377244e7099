package otelpool

// The errors of this system are texts, which we do not look at.

func isRefused(error) bool { return false }

func isCut(error) bool { return false }
