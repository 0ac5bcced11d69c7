"""Servers, worker and deployments on this machine: brought up, taken down, looked over."""
