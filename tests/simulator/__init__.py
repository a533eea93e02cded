# SPDX-License-Identifier: ISC
"""A local IAM Identity Center: OIDC, portal, STS and the approval page."""
