"""The gateway seen by the operator and by pods: ports, paths, headers, marks on pods, and the demand report."""
