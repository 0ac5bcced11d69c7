"""Servers, worker and deployments on this machine: started, stopped, diagnosed."""
