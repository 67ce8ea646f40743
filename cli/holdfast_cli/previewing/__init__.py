"""Who would break a policy that is not applied yet: over a cluster as it is, or over a folder of manifests.

Owns putting the question and printing the answer; reads only. Has no rule of its own: `holdfast.policy.attribution` judges,
as it does for the status of a policy that is applied in mode `Audit`.
"""
