"""Custom kinds of well-known projects with the field paths of their images.

A kind here is used only if a configuration names it: the API server would send reviews for nothing if the project is
not installed, and it sends only the kinds in the chart's `customKinds`. `docs/custom-kinds.md` has the same kinds as
chart values; a test compares the two.
"""

from __future__ import annotations

from typing import Final

from sealgate.workloads.kinds import WorkloadKind, WorkloadKinds

_TEMPLATE = "spec.template.spec"

#: Kinds whose field paths are known from the documentation of each project.
READY_MADE: Final = WorkloadKinds(
    (
        WorkloadKind.custom("apps.kruise.io", "BroadcastJob", [_TEMPLATE]),
        WorkloadKind.custom("apps.kruise.io", "CloneSet", [_TEMPLATE]),
        WorkloadKind.custom("apps.kruise.io", "DaemonSet", [_TEMPLATE]),
        WorkloadKind.custom("apps.kruise.io", "StatefulSet", [_TEMPLATE]),
        WorkloadKind.custom("apps.openshift.io", "DeploymentConfig", [_TEMPLATE]),
        WorkloadKind.custom("argoproj.io", "Rollout", [_TEMPLATE]),
        WorkloadKind.custom("batch.volcano.sh", "Job", ["spec.tasks[*].template.spec"]),
        WorkloadKind.custom("keda.sh", "ScaledJob", ["spec.jobTargetRef.template.spec"]),
        WorkloadKind.custom("serving.knative.dev", "Service", [_TEMPLATE]),
        WorkloadKind.custom(
            "tekton.dev",
            "TaskRun",
            images=[
                "spec.taskSpec.steps[*].image",
                "spec.taskSpec.sidecars[*].image",
                "spec.taskSpec.stepTemplate.image",
            ],
        ),
    )
)
